"""What every part shares: errors for users, files, devices, memory settings, versions."""
