"""What people take away: the exported files and the agencies' copy-ready fields."""
