"""What a run would do and what it will cost, before it is paid for."""
