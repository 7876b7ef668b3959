package rpc

import (
	"slices"

	"google.golang.org/grpc"

	"fairlead.dev"
	"fairlead.dev/rpc/internal/transport"
)

// DialOption is an option of [Dial].
type DialOption interface{ applyToDial(*dialConfig) error }

// ServerOption is an option of [NewServer].
type ServerOption interface{ applyToServer(*serverConfig) error }

// Option is an option of both [Dial] and [NewServer].
type Option interface {
	DialOption
	ServerOption
}

type dialConfig struct {
	transport.ClientConfig
	require   []fairlead.Requirement
	directory directoryOptions
}

type serverConfig struct {
	transport.ServerConfig
	require   []fairlead.Requirement
	directory directoryOptions
}

func newServerConfig() serverConfig {
	return serverConfig{ServerConfig: transport.ServerConfig{
		Services: transport.NewServices(), MaxRecvMsgSize: transport.DefaultMaxRecvMsgSize,
	}}
}

type dialOptionFunc func(*dialConfig) error

func (f dialOptionFunc) applyToDial(c *dialConfig) error { return f(c) }

type serverOptionFunc func(*serverConfig) error

func (f serverOptionFunc) applyToServer(c *serverConfig) error { return f(c) }

type requireOption []fairlead.Requirement

func (o requireOption) applyToDial(c *dialConfig) error {
	c.require = append(c.require, o...)
	return o.check()
}

func (o requireOption) applyToServer(c *serverConfig) error {
	c.require = append(c.require, o...)
	return o.check()
}

func (o requireOption) check() error {
	if slices.Contains(o, nil) {
		return fairlead.Errorf(fairlead.Invalid, "Require needs claims, got nil; pass constants such as rpc.FullDuplex")
	}
	return nil
}

// Require makes Dial and NewServer fail with Unsupported unless all of these
// requirements hold. Every later call fails with FailedPrecondition while one of
// them does not hold.
func Require(reqs ...fairlead.Requirement) Option { return requireOption(reqs) }

// WithDefaultCallOptions sets call options for every call. The options of a call
// come after them.
func WithDefaultCallOptions(opts ...grpc.CallOption) DialOption {
	return dialOptionFunc(func(c *dialConfig) error {
		c.CallOptions = append(c.CallOptions, opts...)
		if slices.Contains(opts, nil) {
			return fairlead.Errorf(fairlead.Invalid, "WithDefaultCallOptions needs call options, got nil; leave the option out for none")
		}
		return nil
	})
}

// WithUnaryInterceptor adds interceptors to unary calls. The first one is the
// outermost.
func WithUnaryInterceptor(in ...grpc.UnaryClientInterceptor) DialOption {
	return dialOptionFunc(func(c *dialConfig) error {
		c.UnaryInterceptors = append(c.UnaryInterceptors, in...)
		return checkInterceptors("WithUnaryInterceptor", in, func(i grpc.UnaryClientInterceptor) bool { return i == nil })
	})
}

// WithStreamInterceptor adds interceptors to streams. The first one is the
// outermost.
func WithStreamInterceptor(in ...grpc.StreamClientInterceptor) DialOption {
	return dialOptionFunc(func(c *dialConfig) error {
		c.StreamInterceptors = append(c.StreamInterceptors, in...)
		return checkInterceptors("WithStreamInterceptor", in, func(i grpc.StreamClientInterceptor) bool { return i == nil })
	})
}

// UnaryInterceptor adds interceptors to the handlers of unary calls. The first
// one is the outermost.
func UnaryInterceptor(in ...grpc.UnaryServerInterceptor) ServerOption {
	return serverOptionFunc(func(c *serverConfig) error {
		c.UnaryInterceptors = append(c.UnaryInterceptors, in...)
		return checkInterceptors("UnaryInterceptor", in, func(i grpc.UnaryServerInterceptor) bool { return i == nil })
	})
}

// StreamInterceptor adds interceptors to the handlers of streams. The first one
// is the outermost.
func StreamInterceptor(in ...grpc.StreamServerInterceptor) ServerOption {
	return serverOptionFunc(func(c *serverConfig) error {
		c.StreamInterceptors = append(c.StreamInterceptors, in...)
		return checkInterceptors("StreamInterceptor", in, func(i grpc.StreamServerInterceptor) bool { return i == nil })
	})
}

// MaxRecvMsgSize sets the longest message that the server accepts, in bytes. A
// longer one ends its call with ResourceExhausted. The default is 4 MiB.
func MaxRecvMsgSize(n int) ServerOption {
	return serverOptionFunc(func(c *serverConfig) error {
		if n < 1 {
			return fairlead.Errorf(fairlead.Invalid, "MaxRecvMsgSize is %d; it is a number of bytes, at least 1", n)
		}
		c.MaxRecvMsgSize = n
		return nil
	})
}

func checkInterceptors[T any](option string, in []T, isNil func(T) bool) error {
	if slices.ContainsFunc(in, isNil) {
		return fairlead.Errorf(fairlead.Invalid, "%s needs interceptors, got nil; leave the option out for none", option)
	}
	return nil
}
