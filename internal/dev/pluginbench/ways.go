package main

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"fairlead.dev"
	"fairlead.dev/kv"
	"fairlead.dev/plugins"
	"fairlead.dev/pubsub"
)

const goRedisName = "go-redis"

// way is one way to a backend.
type way struct {
	name string
	call operation
}

// ways are all ways to one backend.
type ways struct {
	all     []way
	closers []func()
}

func (w *ways) closeAll() {
	for i := len(w.closers) - 1; i >= 0; i-- {
		w.closers[i]()
	}
}

func (w *ways) contestants(ctx context.Context, kind string) []*contestant {
	var all []*contestant
	for _, way := range w.all {
		all = append(all, &contestant{name: way.name, call: func(int) error {
			_, err := way.call(ctx, kind)
			return err
		}})
	}
	return all
}

// openWays opens all ways to a backend. The first one is the yardstick.
func openWays(ctx context.Context, name, backend, redisURL, dir string) (w *ways, err error) {
	w = &ways{}
	defer func() {
		if err != nil {
			w.closeAll()
		}
	}()
	do, kill, err := launchUnary(redisURL)
	if err != nil {
		return w, err
	}
	w.all, w.closers = append(w.all, way{"unary go-plugin", do}), append(w.closers, kill)
	if err := w.addProvider(ctx, "linked in", func() (fairlead.Provider, error) { return fairlead.Open(ctx, backend) }); err != nil {
		return w, err
	}
	if err := w.addProvider(ctx, "loopback", func() (fairlead.Provider, error) {
		p, err := fairlead.Open(ctx, backend)
		if err != nil {
			return nil, err
		}
		return plugins.Loopback(ctx, p, plugins.Stream)
	}); err != nil {
		return w, err
	}
	if err := w.addProcesses(ctx, name, backend, dir); err != nil {
		return w, err
	}
	if redisURL != "" {
		u, err := url.Parse(redisURL)
		if err != nil {
			return w, err
		}
		c := newGoRedis(u.Host)
		w.all, w.closers = append(w.all, way{goRedisName, goRedisOperation(c)}), append(w.closers, func() { c.Close() })
	}
	return w, nil
}

// addProcesses adds the ways through processes of this program.
func (w *ways) addProcesses(ctx context.Context, name, backend, dir string) error {
	binary, err := copySelf(filepath.Join(dir, "fairlead-"+name))
	if err != nil {
		return err
	}
	folder := filepath.Join(dir, "plugins-"+name)
	if _, err := plugins.Install(ctx, binary, folder); err != nil {
		return err
	}
	for _, over := range []plugins.Transport{plugins.Stream, plugins.Frames} {
		host, err := plugins.NewHost(plugins.WithFolders(folder), plugins.WithTransport(over))
		if err != nil {
			return err
		}
		w.closers = append(w.closers, func() { _ = host.Close(ctx) })
		if err := w.addProvider(ctx, "process, "+string(over), func() (fairlead.Provider, error) {
			return host.Open(ctx, "plugin+"+backend)
		}); err != nil {
			return err
		}
	}
	return w.addSidecar(ctx, binary, backend, filepath.Join(dir, name+".sock"))
}

func (w *ways) addSidecar(ctx context.Context, binary, backend, socket string) error {
	cmd := exec.Command(binary, "--listen", "unix://"+socket, "--url", backend)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	w.closers = append(w.closers, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return w.addProvider(ctx, "sidecar", func() (fairlead.Provider, error) { return fairlead.Open(ctx, "sidecar+unix://"+socket) })
}

// addProvider adds a way through a provider.
func (w *ways) addProvider(ctx context.Context, name string, open func() (fairlead.Provider, error)) error {
	p, err := open()
	if err != nil {
		return err
	}
	w.closers = append(w.closers, func() { _ = p.Close(ctx) })
	store, err := kv.Open(ctx, p, "bench")
	if err != nil {
		return err
	}
	topic, err := pubsub.Open(ctx, p, "bench")
	if err != nil {
		return err
	}
	w.closers = append(w.closers, func() { _ = errors.Join(store.Close(ctx), topic.Close(ctx)) })
	w.all = append(w.all, way{name, func(ctx context.Context, kind string) ([]byte, error) {
		switch kind {
		case "get":
			e, err := store.Get(ctx, "k")
			return e.Value, err
		case "put":
			_, err := store.Put(ctx, "k", payload)
			return nil, err
		default:
			_, err := topic.Publish(ctx, pubsub.Message{Body: payload})
			return nil, err
		}
	}})
	return nil
}

func copySelf(to string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	in, err := os.Open(self)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	return to, errors.Join(err, out.Close())
}
