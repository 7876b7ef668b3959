package zznode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"fairlead.dev/conformance"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/process"
	"fairlead.dev/plugins/internal/remote"
	"fairlead.dev/providers"
)

type host struct {
	mu   sync.Mutex
	p    *process.Process
	down bool
}

func (h *host) get(ctx context.Context) (*process.Process, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return nil, errors.New("down")
	}
	if h.p != nil {
		select {
		case <-h.p.Exited():
		default:
			return h.p, nil
		}
	}
	p, err := process.Launch(ctx, process.Spec{Name: "lmdb", Path: "/work/main/examples/provider-node/fairlead-lmdb", Env: []string{"PATH=" + os.Getenv("PATH")}, Dial: remote.DialOptions(), Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err == nil {
		h.p = p
	}
	return p, err
}
func (h *host) Kill(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = true
	_ = syscall.Kill(h.p.PID(), syscall.SIGKILL)
	<-h.p.Exited()
	return nil
}
func (h *host) Start(ctx context.Context) error {
	h.mu.Lock()
	h.down = false
	h.mu.Unlock()
	_, err := h.get(ctx)
	return err
}

func Test(t *testing.T) {
	h := &host{}
	url := "lmdb://" + os.Getenv("ZZDIR")
	open := func(ctx context.Context) (providers.Provider, error) {
		return remote.New(ctx, func(ctx context.Context) (*remote.Session, error) {
			p, err := h.get(ctx)
			if err != nil {
				return nil, providers.Errorf(providers.Unavailable, "%w", err)
			}
			return remote.Dial(ctx, p.Conn(), &pluginpb.OpenRequest{Url: url}, false)
		}, slog.New(slog.DiscardHandler))
	}
	opts := []conformance.Option{conformance.WithControl(h), conformance.WithTransport("process")}
	if m := os.Getenv("ZZMATCH"); m != "" {
		opts = append(opts, conformance.WithMatch(regexp.MustCompile(m)))
	}
	r := conformance.Test(t, open, opts...)
	for _, res := range r.Results {
		if res.Ran() && os.Getenv("ZZV") != "" {
			fmt.Println(res.Case, res.Outcome, res.Duration.Round(time.Millisecond))
		}
	}
	start := time.Now()
	ctx, c := context.WithTimeout(context.Background(), 5*time.Second)
	defer c()
	_ = h.p.Stop(ctx)
	t.Logf("stopped %v after %v", h.p.State(), time.Since(start))
}
