package plugins

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"fairlead.dev"
)

// Verify returns an error unless the plugin may be started. It requires that
//   - the manifest is valid;
//   - the binary is an executable file whose checksum is the one in the manifest;
//   - the binary is in the plugin folder after symbolic links are resolved;
//   - the binary, the manifest and the folder belong to this user or to root, and
//     only the owner and the owner's group may write to them.
//
// A host verifies a plugin before each start. The error is Invalid for a manifest,
// and otherwise PermissionDenied.
//
// Between the check and the start, only the owner and the owner's group could
// replace the binary.
func (i Installed) Verify() error {
	if i.Problem != nil {
		return i.Problem
	}
	if err := i.verify(); err != nil {
		return fairlead.Errorf(fairlead.PermissionDenied, "plugin %s is refused: %w", i.Name, err)
	}
	return nil
}

func (i Installed) verify() error {
	dir, err := filepath.EvalSymlinks(i.Dir)
	if err != nil {
		return err
	}
	if err := checkFolder(dir); err != nil {
		return err
	}
	if _, err := resolveInside(dir, filepath.Join(i.Dir, prefix+i.Name+manifestExt)); err != nil {
		return err
	}
	binary, err := resolveInside(dir, i.Path)
	if err != nil {
		return err
	}
	return checkBinary(binary, i.SHA256)
}

// checkFolder checks a folder and its parents.
func checkFolder(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if err := checkOwner(dir, info); err != nil {
		return err
	}
	for d := filepath.Dir(dir); ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSticky == 0 {
			if err := checkMode(d, info); err != nil {
				return err
			}
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}

// resolveInside resolves the symbolic links of a file, and checks that the file is
// in the folder dir and who may write to it.
func resolveInside(dir, path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(dir, real); err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%s is a symbolic link to %s, which is outside the plugin folder; copy the file into the folder", path, real)
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	return real, checkOwner(real, info)
}

func checkBinary(path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !isExecutable(info) {
		return fmt.Errorf("%s is not executable; run chmod 755 on it", path)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("the checksum of %s is %s, but the manifest says %s; install the plugin again if you trust the file", path, got, want)
	}
	return nil
}
