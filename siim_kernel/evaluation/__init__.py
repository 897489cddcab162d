"""What a run is worth: its measures with intervals, runs compared, runs explained."""
