package plugins

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/regularfile"
)

// manifestTimeout is how long a binary may take to print its manifest.
const manifestTimeout = 30 * time.Second

// Install copies a binary into a plugin folder and writes its manifest: the output
// of "BINARY --manifest" with the checksum added. It creates the folder if
// necessary. It runs the binary, so install only binaries that you trust. A plugin
// of the same name is replaced; its running processes continue until they are
// restarted.
func Install(ctx context.Context, binary, dir string) (Installed, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return Installed{}, fairlead.Errorf(fairlead.PermissionDenied, "creating the plugin folder: %w", err)
	}
	if _, err := checkFolder(dir); err != nil { // a file in it is run below
		return Installed{}, fairlead.Errorf(fairlead.PermissionDenied, "the plugin folder is refused: %w", err)
	}
	temp, err := os.MkdirTemp(dir, ".install-")
	if err != nil {
		return Installed{}, fairlead.Errorf(fairlead.PermissionDenied, "writing to the plugin folder: %w", err)
	}
	defer os.RemoveAll(temp)
	p, err := stageAndMove(ctx, binary, dir, temp)
	if err != nil {
		return Installed{}, fairlead.Annotate(err, "plugins.Install", "")
	}
	return p, p.Verify()
}

// stageAndMove prepares both files in the folder temp, and moves them to dir.
func stageAndMove(ctx context.Context, binary, dir, temp string) (Installed, error) {
	staged := filepath.Join(temp, filepath.Base(binary))
	sum, err := copyBinary(binary, staged)
	if err != nil {
		return Installed{}, fairlead.Errorf(fairlead.Invalid, "copying the binary: %w", err)
	}
	m, err := requestManifest(ctx, staged)
	if err != nil {
		return Installed{}, err
	}
	m.Command, m.SHA256 = prefix+m.Name, sum
	manifest := filepath.Join(temp, "manifest")
	if err := writeFile(manifest, 0o644, bytes.NewReader(m.encode())); err != nil {
		return Installed{}, fairlead.Errorf(fairlead.PermissionDenied, "writing the manifest: %w", err)
	}
	p := Installed{Manifest: m, Dir: dir, Path: filepath.Join(dir, m.Command)}
	err = errors.Join(
		os.Rename(staged, p.Path),
		os.Rename(manifest, filepath.Join(dir, prefix+m.Name+manifestExt)))
	if err != nil {
		return Installed{}, fairlead.Errorf(fairlead.PermissionDenied, "moving the files into the plugin folder: %w", err)
	}
	return p, nil
}

func copyBinary(from, to string) (sum string, err error) {
	f, err := regularfile.Open(from)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if err := writeFile(to, 0o755, io.TeeReader(f, h)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// writeFile writes a new file and syncs it.
func writeFile(path string, mode os.FileMode, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	// The mode was subject to the umask.
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}

// requestManifest runs a binary that prints its manifest.
func requestManifest(ctx context.Context, binary string) (Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, manifestTimeout)
	defer cancel()
	out, err := runManifest(ctx, binary)
	// A process that this program has just forked may hold the file open for
	// writing until it calls exec.
	for ; errors.Is(err, syscall.ETXTBSY) && ctx.Err() == nil; out, err = runManifest(ctx, binary) {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return Manifest{}, fairlead.Errorf(fairlead.Invalid, "%s --manifest: %w; is it a Fairlead plugin?", filepath.Base(binary), err)
	}
	return ParseManifest(filepath.Base(binary)+" --manifest", out)
}

func runManifest(ctx context.Context, binary string) ([]byte, error) {
	var out, errs limitedBuffer
	cmd := exec.CommandContext(ctx, binary, "--manifest")
	cmd.Env = pluginEnvironment([]string{"PATH"})
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w%s", err, strings.TrimRight("\n"+errs.kept.String(), "\n"))
	}
	return out.kept.Bytes(), nil
}

// limitedBuffer takes at most as many bytes as a manifest may have.
type limitedBuffer struct{ kept bytes.Buffer }

// Write implements io.Writer.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.kept.Len()+len(p) > maxManifest {
		return 0, fmt.Errorf("the output is longer than %d bytes", maxManifest)
	}
	return b.kept.Write(p)
}
