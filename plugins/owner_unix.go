//go:build unix

package plugins

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links a path may lead through.
const maxLinks = 40

// checkOwner refuses what belongs to any user other than this one and root.
func checkOwner(path string, info fs.FileInfo) error {
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d; it must belong to this user (%d) or to root", path, s.Uid, os.Geteuid())
	}
	return nil
}

// checkMode refuses what every user may write to.
func checkMode(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("every user may write to %s; run chmod o-w on it", path)
	}
	return nil
}

func isExecutable(info fs.FileInfo) bool { return info.Mode().Perm()&0o111 != 0 }

// resolveTrusted resolves the symbolic links of an absolute path, step by step from
// the root folder. It refuses a path on which another user could put something else
// in the place of a file, a folder or a link, now or after the check.
func resolveTrusted(path string) (string, error) {
	at, links := "/", 0
	if err := checkStep(at); err != nil {
		return "", err
	}
	for rest := splitPath(path); len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at) // no link is left in it
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			if err := checkStepInfo(next, info); err != nil {
				return "", err
			}
			at = next
			continue
		}
		if err := checkOwner(next, info); err != nil {
			return "", err
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s leads through more than %d symbolic links", path, maxLinks)
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(splitPath(target), rest...)
	}
	return at, nil
}

func splitPath(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

func checkStep(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	return checkStepInfo(path, info)
}

// checkStepInfo checks a folder or file on the way: nobody but its owner and root
// may replace what is in it.
func checkStepInfo(path string, info fs.FileInfo) error {
	if err := checkOwner(path, info); err != nil {
		return err
	}
	if info.IsDir() && isSticky(info) {
		return nil
	}
	return checkMode(path, info)
}
