package plugins

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"fairlead.dev"
	"fairlead.dev/internal/regularfile"
)

// Verify returns an error unless the plugin may be started. It requires that
//   - the manifest is valid;
//   - the binary is an executable file whose checksum is the one in the manifest;
//   - the binary is in the plugin folder after symbolic links are resolved;
//   - the binary, the manifest, the folder, all folders above it, and the links on
//     the way belong to this user or to root, and only the owner and the owner's
//     group may write to them. Folders above the plugin folder may be ones with the
//     sticky bit, such as /tmp.
//
// A host verifies a plugin before each start. On Linux with /proc it then runs the
// file whose checksum it has compared, not a file that has its name meanwhile. On
// other systems it runs the file by its name, which only the owners and their
// groups could have replaced. A script's interpreter gets the name
// /proc/self/fd/3: see docs/plugin-protocol.md.
//
// The error is Invalid for a manifest, and otherwise PermissionDenied.
func (i Installed) Verify() error {
	f, err := i.openVerified()
	if err != nil {
		return err
	}
	return f.Close()
}

// openVerified verifies the plugin, and returns the binary that was verified.
func (i Installed) openVerified() (*os.File, error) {
	if i.Problem != nil {
		return nil, i.Problem
	}
	f, err := i.openBinary()
	if err != nil {
		return nil, fairlead.Errorf(fairlead.PermissionDenied, "plugin %s is refused: %w", i.Name, err)
	}
	return f, nil
}

func (i Installed) openBinary() (*os.File, error) {
	dir, err := checkFolder(i.Dir)
	if err != nil {
		return nil, err
	}
	manifest, err := openInside(dir, filepath.Join(i.Dir, prefix+i.Name+manifestExt))
	if err != nil {
		return nil, err
	}
	manifest.Close()
	f, err := openInside(dir, i.Path)
	if err != nil {
		return nil, err
	}
	if err := checkBinary(f, i.SHA256); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// checkFolder checks a plugin folder and everything on the way to it. It returns
// the folder's path without symbolic links.
func checkFolder(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	real, err := resolveTrusted(dir)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", err
	}
	return real, checkMode(real, info)
}

// openInside resolves the symbolic links of a file, checks that the file is in the
// folder dir and who may write to it, and opens it.
func openInside(dir, path string) (*os.File, error) {
	real, err := resolveTrusted(path)
	if err != nil {
		return nil, err
	}
	if rel, err := filepath.Rel(dir, real); err != nil || !filepath.IsLocal(rel) {
		return nil, fmt.Errorf("%s is a symbolic link to %s, which is outside the plugin folder; copy the file into the folder", path, real)
	}
	return openTrusted(real)
}

// openTrusted opens a regular file that belongs to this user or to root, and that
// not every user may write to.
func openTrusted(path string) (*os.File, error) {
	f, err := regularfile.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = errors.Join(checkOwner(path, info), checkMode(path, info))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func checkBinary(f *os.File, want string) error {
	if info, err := f.Stat(); err != nil || !isExecutable(info) {
		return fmt.Errorf("%s is not executable; run chmod 755 on it", f.Name())
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("the checksum of %s is %s, but the manifest says %s; install the plugin again if you trust the file", f.Name(), got, want)
	}
	return nil
}

// isSticky reports whether only the owners of a folder's entries may replace them.
func isSticky(info fs.FileInfo) bool { return info.Mode()&fs.ModeSticky != 0 }
