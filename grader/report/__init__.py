"""What people read of a result: lines on the screen, `results.json`, a page of HTML."""
