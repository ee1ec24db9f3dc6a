"""The oracle: it sells labels and records every purchase before it reveals one."""
