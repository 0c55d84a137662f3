"""Training: the loop, the schedule and the three trainings that use them."""
