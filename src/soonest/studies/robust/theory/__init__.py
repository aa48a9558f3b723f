"""The analysis of A_min and A_ell, checked: closed forms, simulation beside them, the optimum."""
