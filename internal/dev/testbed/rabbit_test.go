package testbed

import (
	"net"
	"strings"
	"testing"
)

func TestRabbitIsKilledAndStartedAgain(t *testing.T) {
	ctx := deadline(t)
	s := Rabbit(t)
	addr, mapper := s.Addr(), s.mapper.PID()
	must(t, s.Kill(ctx))
	if s.Running() {
		t.Error("it runs after Kill")
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		t.Error("something listens after Kill", c.Close())
	}
	must(t, s.Start(ctx))
	must(t, s.ping(ctx))
	if s.Addr() != addr || !strings.Contains(s.URL(), addr) {
		t.Errorf("it was at %s and is at %s, %s", addr, s.Addr(), s.URL())
	}
	if s.mapper.PID() != mapper {
		t.Error("the port mapper is another one")
	}
	must(t, s.Stop(ctx))
	must(t, s.Close())
	if s.Running() || s.mapper.Running() {
		t.Error("a process is left")
	}
}
