//go:build unix

package regularfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fairlead.dev/internal/regularfile"
)

const limit = 100

// What is not a regular file is refused, and nothing waits for it or reads it to
// its end. A symbolic link is what it leads to.
func TestRefusedFiles(t *testing.T) {
	dir := t.TempDir()
	pipe, long := filepath.Join(dir, "pipe"), filepath.Join(dir, "long")
	must(t, syscall.Mkfifo(pipe, 0o600))
	write(t, long, limit+1)
	for _, c := range []struct {
		path, word string
		is         error
	}{
		{pipe, "named pipe", regularfile.ErrNotRegular},
		{dir, "folder", regularfile.ErrNotRegular},
		{"/dev/zero", "device", regularfile.ErrNotRegular},
		{long, "more than 100 bytes", regularfile.ErrTooLong},
		{filepath.Join(dir, "none"), "none", fs.ErrNotExist},
	} {
		for _, path := range []string{c.path, link(t, c.path)} {
			b, err := regularfile.Read(path, limit)
			if b != nil || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.word) && path == c.path || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: got %d bytes, %v", path, len(b), err)
			}
		}
	}
}

// A named pipe with a writer is refused as well.
func TestPipeWithWriter(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	must(t, syscall.Mkfifo(pipe, 0o600))
	w, err := os.OpenFile(pipe, os.O_RDWR, 0)
	must(t, err)
	defer w.Close()
	_, err = w.Write(make([]byte, limit+1)) // so that a read would not wait
	must(t, err)
	if _, err := regularfile.Read(pipe, limit); !errors.Is(err, regularfile.ErrNotRegular) {
		t.Errorf("got %v", err)
	}
}

// A file of exactly the limit is read, through links as in a volume of Kubernetes
// too.
func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, limit)
	for _, path := range []string{path, link(t, path), link(t, link(t, path))} {
		if b, err := regularfile.Read(path, limit); err != nil || len(b) != limit {
			t.Errorf("%s: got %d bytes, %v", path, len(b), err)
		}
	}
}

func link(t *testing.T, to string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(to, path))
	return path
}

func write(t *testing.T, path string, size int) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(strings.Repeat("x", size)), 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
