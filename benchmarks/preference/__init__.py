"""What self-preferencing costs and what it can tell, measured."""
