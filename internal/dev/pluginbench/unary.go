package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	goredis "github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The yardstick is go-plugin as it is commonly used: one unary gRPC call for each
// operation, and the backend's client in the plugin.
const (
	unaryEnv   = "PLUGINBENCH_UNARY"
	unaryRedis = "PLUGINBENCH_REDIS"
)

var unaryHandshake = goplugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: unaryEnv, MagicCookieValue: "1"}

// operation carries out "get", "put" or "publish".
type operation func(ctx context.Context, kind string) ([]byte, error)

// unaryPlugin is the plugin in go-plugin's set.
type unaryPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	operation operation
}

func (p unaryPlugin) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Unary", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Do", Handler: p.handle}},
	}, p)
	return nil
}

func (p unaryPlugin) handle(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var req wrapperspb.BytesValue
	if err := decode(&req); err != nil {
		return nil, err
	}
	// The first byte is the kind of the operation, the rest is the value.
	kinds := map[byte]string{'g': "get", 'p': "put", 's': "publish"}
	value, err := p.operation(ctx, kinds[req.Value[0]])
	return wrapperspb.Bytes(value), err
}

func (p unaryPlugin) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// serveUnary is the main function of the plugin's process.
func serveUnary() {
	do := func(_ context.Context, kind string) ([]byte, error) {
		if kind == "get" {
			return payload, nil
		}
		return nil, nil
	}
	if addr := os.Getenv(unaryRedis); addr != "" {
		do = goRedisOperation(newGoRedis(addr))
	}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: unaryHandshake, GRPCServer: goplugin.DefaultGRPCServer,
		Plugins: goplugin.PluginSet{"bench": unaryPlugin{operation: do}},
		Logger:  hclog.NewNullLogger(),
	})
}

func newGoRedis(addr string) *goredis.Client {
	return goredis.NewClient(&goredis.Options{Addr: addr, MaxRetries: -1, PoolSize: 64, ContextTimeoutEnabled: true})
}

// goRedisOperation returns the operations of go-redis itself.
func goRedisOperation(c *goredis.Client) operation {
	return func(ctx context.Context, kind string) ([]byte, error) {
		switch kind {
		case "get":
			return c.Get(ctx, "bench").Bytes()
		case "put":
			return nil, c.Set(ctx, "bench", payload, 0).Err()
		default:
			return nil, c.XAdd(ctx, &goredis.XAddArgs{Stream: "bench-stream", MaxLen: 10_000, Approx: true, Values: []any{"body", payload}}).Err()
		}
	}
}

// launchUnary starts this program as the unary plugin.
func launchUnary(redisURL string) (operation, func(), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self)
	if redisURL != "" {
		u, err := url.Parse(redisURL)
		if err != nil {
			return nil, nil, err
		}
		cmd.Env = append(cmd.Env, unaryRedis+"="+u.Host)
	}
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: unaryHandshake, Plugins: goplugin.PluginSet{"bench": unaryPlugin{}}, Cmd: cmd,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(), SyncStdout: io.Discard, SyncStderr: os.Stderr,
	})
	conn, err := unaryConn(client)
	if err != nil {
		client.Kill()
		return nil, nil, fmt.Errorf("the unary plugin: %w", err)
	}
	return func(ctx context.Context, kind string) ([]byte, error) {
		req := []byte{map[string]byte{"get": 'g', "put": 'p', "publish": 's'}[kind]}
		if kind != "get" {
			req = append(req, payload...)
		}
		var resp wrapperspb.BytesValue
		err := conn.Invoke(ctx, "/bench.Unary/Do", wrapperspb.Bytes(req), &resp)
		return resp.Value, err
	}, client.Kill, nil
}

func unaryConn(client *goplugin.Client) (*grpc.ClientConn, error) {
	protocol, err := client.Client()
	if err != nil {
		return nil, err
	}
	raw, err := protocol.Dispense("bench")
	if err != nil {
		return nil, err
	}
	return raw.(*grpc.ClientConn), nil
}
