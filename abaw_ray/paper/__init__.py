"""The paper (Vu et al., ICCVW 2021): its databases, models and tables, for the demo and the reproduction."""
