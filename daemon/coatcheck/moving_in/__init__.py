"""What people have from other tools: their rules read, weighed against a profile of ours, and written as one."""
