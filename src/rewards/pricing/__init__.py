"""What an order costs: FX rates, discounts, fees and tax, by one function."""
