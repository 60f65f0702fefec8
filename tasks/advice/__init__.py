"""What a policy could do without: advice measured on made-up people, and the patch it comes to."""
