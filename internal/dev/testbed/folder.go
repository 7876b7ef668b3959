package testbed

import (
	"fmt"
	"os"
)

// FolderEnv names the folder in which servers get their folders. If it is empty,
// the system's folder for temporary files is used. In memory, for example on
// /dev/shm, a busy disk makes no server miss its deadlines, and an fsync costs
// nothing. Servers still call fsync, and the same data survives a SIGKILL.
// Benchmarks need a disk.
const FolderEnv = "FAIRLEAD_TESTBED_DIR"

// newFolder makes the folder of a server.
func newFolder(kind string) (string, error) {
	dir, err := os.MkdirTemp(os.Getenv(FolderEnv), "fl-"+kind+"-")
	if err != nil {
		return "", fmt.Errorf("testbed: %w (%s says where)", err, FolderEnv)
	}
	return dir, nil
}
