"""Maps from parameters to predictors, coordinate by coordinate and redundant."""
