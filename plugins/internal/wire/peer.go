package wire

import (
	"fmt"
	"net"
	"os"
)

// SameUser returns an error unless the process at the other end of a Unix
// socket runs as the same user as this process. It also returns an error where
// the operating system does not say.
func SameUser(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var uid int
	var peerErr error
	if err := raw.Control(func(fd uintptr) { uid, peerErr = peerUID(int(fd)) }); err != nil {
		return err
	}
	if peerErr != nil {
		return fmt.Errorf("the user of the peer process is unknown: %w", peerErr)
	}
	if uid != os.Geteuid() {
		return fmt.Errorf("the peer process runs as user %d and this process as user %d; run both as the same user", uid, os.Geteuid())
	}
	return nil
}
