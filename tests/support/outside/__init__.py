"""What stands outside this project: the example apps, and whoever has installed the wheel."""
