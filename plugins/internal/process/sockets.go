package process

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// maxSocketDir is the longest path of a folder for socket folders: a
	// socket's path may have 103 bytes on some systems, and names are added.
	maxSocketDir = 60
	// socketDirPrefix begins the names of socket folders.
	socketDirPrefix = "fairlead."
	// staleAfter is the least age of a socket folder that nobody holds before
	// it is removed.
	staleAge = time.Minute
)

// SocketDir is a folder that nobody else can enter. It is locked as long as its
// host lives.
type SocketDir struct {
	Path string
	lock *os.File
}

// NewSocketDir makes a folder below base. By default that is not TMPDIR, which
// may be too long for the path of a socket.
func NewSocketDir(base string) (*SocketDir, error) {
	if base == "" {
		base = defaultSocketDir()
	}
	if err := CheckSocketDir(base); err != nil {
		return nil, err
	}
	removeStale(base)
	path, err := os.MkdirTemp(base, socketDirPrefix)
	if err != nil {
		return nil, fmt.Errorf("making a folder for the plugin's sockets: %w", err)
	}
	lock, err := lockDir(path)
	if err != nil {
		_ = os.Remove(path)
		return nil, fmt.Errorf("locking the folder for the plugin's sockets: %w", err)
	}
	return &SocketDir{path, lock}, nil
}

// Remove removes the folder, and what is in it.
func (d *SocketDir) Remove() {
	_ = os.RemoveAll(d.Path)
	_ = d.lock.Close()
}

// removeStale removes folders whose host and plugin were killed together, so
// that neither could.
func removeStale(base string) {
	dirs, _ := filepath.Glob(filepath.Join(base, socketDirPrefix+"[0-9]*")) // the pattern is valid
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < staleAge {
			continue
		}
		if lock, err := lockDir(dir); err == nil {
			removeSockets(dir)
			_ = lock.Close()
		}
	}
}

// removeSockets removes a folder if there is nothing but sockets in it.
func removeSockets(dir string) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err == nil && e.Type()&fs.ModeSocket != 0 {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	_ = os.Remove(dir) // fails if anything is left
}

func defaultSocketDir() string {
	run := os.Getenv("XDG_RUNTIME_DIR")
	if info, err := os.Stat(run); err == nil && info.IsDir() && CheckSocketDir(run) == nil && isWritable(run) {
		return run
	}
	if info, err := os.Stat("/tmp"); err == nil && info.IsDir() {
		return "/tmp"
	}
	return os.TempDir()
}

// CheckSocketDir says whether sockets can be made in folders below dir.
func CheckSocketDir(dir string) error {
	switch {
	case !filepath.IsAbs(dir):
		return fmt.Errorf("the socket folder %q is not an absolute path", dir)
	case len(dir) > maxSocketDir:
		return fmt.Errorf("the path of the socket folder %q has %d bytes; sockets need one of at most %d", dir, len(dir), maxSocketDir)
	}
	return nil
}
