package rpc

import (
	"math"
	"slices"

	"google.golang.org/grpc"

	"fairlead.dev"
)

const (
	defaultMaxRecv = 4 << 20
	defaultMaxSend = math.MaxInt32
)

// DialOption changes how [Dial] makes a connection.
type DialOption interface{ dial(*dialConfig) error }

// ServerOption changes how [NewServer] makes a server.
type ServerOption interface{ server(*serverConfig) error }

// Option is an option of both [Dial] and [NewServer].
type Option interface {
	DialOption
	ServerOption
}

type dialConfig struct {
	require []fairlead.Requirement
	calls   []grpc.CallOption
	unary   []grpc.UnaryClientInterceptor
	stream  []grpc.StreamClientInterceptor
	direct  directConfig
}

type serverConfig struct {
	require []fairlead.Requirement
	maxRecv int
	unary   []grpc.UnaryServerInterceptor
	stream  []grpc.StreamServerInterceptor
	direct  directConfig
}

type dialFunc func(*dialConfig) error

func (f dialFunc) dial(c *dialConfig) error { return f(c) }

type serverFunc func(*serverConfig) error

func (f serverFunc) server(c *serverConfig) error { return f(c) }

type requireOption []fairlead.Requirement

func (o requireOption) dial(c *dialConfig) error {
	c.require = append(c.require, o...)
	return o.check()
}

func (o requireOption) server(c *serverConfig) error {
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
// hold, and every later call with FailedPrecondition while one of them does
// not.
func Require(reqs ...fairlead.Requirement) Option { return requireOption(reqs) }

// WithDefaultCallOptions sets call options for every call; those of the call
// itself come after them.
func WithDefaultCallOptions(opts ...grpc.CallOption) DialOption {
	return dialFunc(func(c *dialConfig) error {
		c.calls = append(c.calls, opts...)
		if slices.Contains(opts, nil) {
			return fairlead.Errorf(fairlead.Invalid, "WithDefaultCallOptions needs call options, got nil; leave the option out for none")
		}
		return nil
	})
}

// WithUnaryInterceptor adds interceptors to unary calls; the first one is the
// outermost.
func WithUnaryInterceptor(in ...grpc.UnaryClientInterceptor) DialOption {
	return dialFunc(func(c *dialConfig) error {
		c.unary = append(c.unary, in...)
		return nonNil("WithUnaryInterceptor", in, func(i grpc.UnaryClientInterceptor) bool { return i == nil })
	})
}

// WithStreamInterceptor adds interceptors to streams; the first one is the
// outermost.
func WithStreamInterceptor(in ...grpc.StreamClientInterceptor) DialOption {
	return dialFunc(func(c *dialConfig) error {
		c.stream = append(c.stream, in...)
		return nonNil("WithStreamInterceptor", in, func(i grpc.StreamClientInterceptor) bool { return i == nil })
	})
}

// UnaryInterceptor adds interceptors to the handlers of unary calls; the
// first one is the outermost.
func UnaryInterceptor(in ...grpc.UnaryServerInterceptor) ServerOption {
	return serverFunc(func(c *serverConfig) error {
		c.unary = append(c.unary, in...)
		return nonNil("UnaryInterceptor", in, func(i grpc.UnaryServerInterceptor) bool { return i == nil })
	})
}

// StreamInterceptor adds interceptors to the handlers of streams; the first
// one is the outermost.
func StreamInterceptor(in ...grpc.StreamServerInterceptor) ServerOption {
	return serverFunc(func(c *serverConfig) error {
		c.stream = append(c.stream, in...)
		return nonNil("StreamInterceptor", in, func(i grpc.StreamServerInterceptor) bool { return i == nil })
	})
}

// MaxRecvMsgSize sets the longest message that the server takes, in bytes; a
// longer one ends its call with ResourceExhausted. The default is 4 MiB.
func MaxRecvMsgSize(n int) ServerOption {
	return serverFunc(func(c *serverConfig) error {
		if n < 1 {
			return fairlead.Errorf(fairlead.Invalid, "MaxRecvMsgSize is %d; it is a number of bytes, at least 1", n)
		}
		c.maxRecv = n
		return nil
	})
}

func nonNil[T any](option string, in []T, isNil func(T) bool) error {
	if slices.ContainsFunc(in, isNil) {
		return fairlead.Errorf(fairlead.Invalid, "%s needs interceptors, got nil; leave the option out for none", option)
	}
	return nil
}
