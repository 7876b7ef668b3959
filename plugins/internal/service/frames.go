package service

import (
	"context"
	"net"
	"os"

	"fairlead.dev/plugins/internal/wire"
)

// ListenFrames offers the data plane at a Unix socket, too. The folder has to
// be one that nobody else may enter; a peer of another user is refused.
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
	go s.accept(l)
	return nil
}

func (s *Service) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed
		}
		go s.serveSocket(conn.(*net.UnixConn))
	}
}

func (s *Service) serveSocket(conn *net.UnixConn) {
	defer conn.Close()
	if err := wire.SameUser(conn); err != nil {
		s.config.Log.Warn("a connection to the frame socket was refused", "error", err)
		return
	}
	if err := s.serve(context.Background(), wire.SocketConn(conn, attachWithin)); err != nil {
		s.config.Log.Warn("a connection of the frame socket broke", "error", err)
	}
}
