"""Words of the whole house: values, errors, units, time, and what the parts promise each other."""
