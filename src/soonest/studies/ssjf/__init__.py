"""The SSJF paper run again, as published and corrected (Qiu et al., 2024, arXiv:2404.08509)."""
