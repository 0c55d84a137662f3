"""What stands between now and the end of `dvc repro`: files, disk, memory and hours."""
