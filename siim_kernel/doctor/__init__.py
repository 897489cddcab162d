"""What the machine has and lacks for each stage, with the remedy for each lack."""
