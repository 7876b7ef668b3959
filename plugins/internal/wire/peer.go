package wire

import (
	"fmt"
	"net"
	"os"
)

// SameUser returns an error unless the process at the other end of a Unix
// socket belongs to this process's user, and where the system does not tell.
func SameUser(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var uid int
	var peerErr error
	if err := raw.Control(func(fd uintptr) { uid, peerErr = peerUser(int(fd)) }); err != nil {
		return err
	}
	if peerErr != nil {
		return fmt.Errorf("the user of the peer is not known: %w", peerErr)
	}
	if uid != os.Getuid() {
		return fmt.Errorf("the peer belongs to user %d, this process to user %d; run both as the same user", uid, os.Getuid())
	}
	return nil
}
