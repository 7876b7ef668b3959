package testbed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// program is a server of the testbed that is built from pinned modules: a module
// in a folder beside this file.
type program string

const (
	serversProgram program = "servers"
	daprdProgram   program = "daprd"
)

// building keeps the goroutines of one process from waiting for each other's
// file lock by polling.
var building sync.Mutex

// get returns the path of the built program, and builds it unless it is in the
// cache already.
func (p program) get(ctx context.Context) (string, error) {
	source, err := p.source()
	if err != nil {
		return "", err
	}
	key, err := sourceHash(source)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "fairlead", "testbed")
	path := filepath.Join(dir, string(p)+"-"+key)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	building.Lock()
	defer building.Unlock()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return path, locked(ctx, path+".lock", func() error { return build(ctx, source, path) })
}

// source is the folder of the program's sources.
func (p program) source() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Dir(file)
	if below, trimmed := strings.CutPrefix(dir, modulePath+"/"); trimmed {
		dir = filepath.Join(moduleRoot(), below)
	}
	dir = filepath.Join(dir, string(p))
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", fmt.Errorf("the sources are not there (a program built with -trimpath finds them only from a folder of the module): %w", err)
	}
	return dir, nil
}

// modulePath begins the paths of source files in a program built with -trimpath.
const modulePath = "fairlead.dev"

// moduleRoot returns the folder above the working directory that has this module's
// go.mod, or the empty string.
func moduleRoot() string {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		text, _ := os.ReadFile(filepath.Join(dir, "go.mod"))
		if strings.HasPrefix(string(text), "module "+modulePath+"\n") {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return ""
}

// sourceHash names a build: other sources, versions or compilers have another.
func sourceHash(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	files = append(files, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum"))
	slices.Sort(files)
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// locked runs f while no other process runs one under the same file. The lock
// goes away with the process that holds it.
func locked(ctx context.Context, path string, f func() error) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	err = poll(ctx, func(context.Context) error {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fatal(err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", path, err)
	}
	return f()
}

// build compiles the sources, unless another process did so while this one waited
// for the lock.
func build(ctx context.Context, source, path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	unfinished := path + ".unfinished"
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", unfinished, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return os.Rename(unfinished, path)
}
