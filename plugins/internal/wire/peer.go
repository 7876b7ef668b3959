package wire

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// SameUser returns an error unless the process at the other end of a Unix
// socket belongs to this process's user.
func SameUser(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if credErr != nil {
		return credErr
	}
	if int(cred.Uid) != os.Getuid() {
		return fmt.Errorf("the peer belongs to user %d, this process to user %d; run both as the same user", cred.Uid, os.Getuid())
	}
	return nil
}
