"""Networks: architecture, training, inference, explanation, and the contract of a packaged one."""
