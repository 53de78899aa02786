"""Where vouchers are bought: vendors, their adapters, and every order placed with them."""
