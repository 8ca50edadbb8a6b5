"""What must survive: journal, inventory, registrations, settings, PINs."""
