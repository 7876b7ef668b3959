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

// Verify says whether the plugin may be started: its manifest is valid; its
// binary is an executable file whose checksum is the manifest's and which is,
// after symbolic links, in the plugin folder; and nobody but its owner, who is
// this user or root, and their group may change the binary, the manifest or
// what is in the folder. A host verifies before each start. The error is
// Invalid for a manifest and PermissionDenied else.
//
// Between the check and the start only the owner and their group could
// exchange the binary.
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

// checkFolder checks a folder and those above it.
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

// inside resolves the links of a file in the folder dir, and checks the file.
func resolveInside(dir, path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(dir, real); err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%s is a symbolic link to %s, which is outside of the plugin folder; copy the file into the folder", path, real)
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
		return fmt.Errorf("%s is not executable; chmod 755 it", path)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("the checksum of %s is %s, and the manifest says %s; install it again if you trust it", path, got, want)
	}
	return nil
}
