package service

import (
	"context"
	"net"
	"os"

	"fairlead.dev/plugins/internal/wire"
)

// ListenFrames also offers the data plane on a Unix socket at path. The socket's
// folder must be one that no other user can enter. A peer of another user is
// refused.
func (s *Service) ListenFrames(path string) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return err
	}
	s.mu.Lock()
	s.socket, s.listener = path, l
	s.mu.Unlock()
	go s.acceptSockets(l)
	return nil
}

func (s *Service) acceptSockets(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // the listener is closed
		}
		go s.serveSocket(conn.(*net.UnixConn))
	}
}

func (s *Service) serveSocket(conn *net.UnixConn) {
	defer conn.Close()
	if err := wire.SameUser(conn); err != nil {
		s.config.Log.Warn("refused a connection to the frame socket", "error", err)
		return
	}
	if err := s.serveConn(context.Background(), wire.SocketConn(conn, attachTimeout)); err != nil {
		s.config.Log.Warn("a connection to the frame socket broke", "error", err)
	}
}
