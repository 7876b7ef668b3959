// Package regularfile opens and reads the files that a setting or a flag names. It
// never waits, as opening a named pipe would, it leaves devices alone, and it reads
// no more than the caller allows. A symbolic link to a regular file is one.
package regularfile

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// MaxCredential is the longest file, in bytes, that is read as a secret, a key or
// certificates.
const MaxCredential = 1 << 20

// The reasons for which a file that can be opened is refused.
var (
	ErrNotRegular = errors.New("is not a regular file")
	ErrTooLong    = errors.New("is too long")
)

// Open opens a regular file for reading.
func Open(path string) (*os.File, error) {
	info, err := os.Stat(path) // to open a device may change its state
	if err == nil {
		err = checkMode(path, info)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = checkMode(path, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func checkMode(path string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("%s %w but a %s; give the path of a regular file, or of a symbolic link to one", path, ErrNotRegular, kindOf(info.Mode()))
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "folder"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	default:
		return "device"
	}
}

// Read returns the content of a regular file of at most limit bytes.
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadOpen(f, limit)
}

// ReadOpen returns what is left of an open file, at most limit bytes.
func ReadOpen(f *os.File, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("%s %w: it has more than %d bytes; is it the file that is meant?", f.Name(), ErrTooLong, limit)
	}
	return b, nil
}

// ReadKeyPair returns the certificate in one file with the key in another.
func ReadKeyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := Read(certFile, MaxCredential)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := Read(keyFile, MaxCredential)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}
