"""What an operator does to a system from outside: sends events, writes outputs anew, begins anew."""
