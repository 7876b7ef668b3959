package testbed

import (
	"fmt"
	"os"
)

// FolderEnv names the folder in which servers get their folders; the system's
// for temporary files if it is empty. In memory, as on /dev/shm, a busy disk
// makes no server miss its deadlines, and an fsync costs nothing: servers call
// it all the same, and what survives a SIGKILL is the same on both. Benchmarks
// belong on a disk.
const FolderEnv = "FAIRLEAD_TESTBED_DIR"

// newFolder makes the folder of a server.
func newFolder(kind string) (string, error) {
	dir, err := os.MkdirTemp(os.Getenv(FolderEnv), "fl-"+kind+"-")
	if err != nil {
		return "", fmt.Errorf("testbed: %w (%s says where)", err, FolderEnv)
	}
	return dir, nil
}
