package process

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// maxSocketDir is the maximum length of the path of the directory for socket
	// folders. On some systems the path of a socket may have only 103 bytes, and
	// names are added.
	maxSocketDir = 60
	// socketDirPrefix begins the names of socket folders.
	socketDirPrefix = "fairlead."
	// staleAge is the least age at which a socket folder that no process has locked
	// is removed.
	staleAge = time.Minute
)

// SocketDir is a folder that only this user can enter. It is locked while its host
// runs.
type SocketDir struct {
	Path string
	lock *os.File
}

// NewSocketDir creates a folder below base. If base is empty, it uses a default,
// which is not TMPDIR: that may be too long for the path of a socket.
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
		return nil, fmt.Errorf("creating a folder for the plugin's sockets: %w", err)
	}
	lock, err := lockDir(path)
	if err != nil {
		_ = os.Remove(path)
		return nil, fmt.Errorf("locking the folder for the plugin's sockets: %w", err)
	}
	return &SocketDir{path, lock}, nil
}

// Remove removes the folder and its contents.
func (d *SocketDir) Remove() {
	_ = os.RemoveAll(d.Path)
	_ = d.lock.Close()
}

// removeStale removes folders that neither host nor plugin could remove, because
// they were killed together.
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

// removeSockets removes a folder if it contains only sockets.
func removeSockets(dir string) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err == nil && e.Type()&fs.ModeSocket != 0 {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	_ = os.Remove(dir) // fails if anything else is in it
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

// CheckSocketDir returns an error if sockets cannot be created in folders below dir.
func CheckSocketDir(dir string) error {
	switch {
	case !filepath.IsAbs(dir):
		return fmt.Errorf("the socket folder %q is not an absolute path", dir)
	case len(dir) > maxSocketDir:
		return fmt.Errorf("the path of the socket folder %q has %d bytes; at most %d are possible", dir, len(dir), maxSocketDir)
	}
	return nil
}
