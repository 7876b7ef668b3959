package plugins

import "os"

// OpenVerified verifies a plugin, and returns the binary that a host runs.
func OpenVerified(i Installed) (*os.File, error) { return i.openVerified() }
