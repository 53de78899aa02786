"""FX, discounts, fees and tax: one function from face value to price."""
