// Package readme has a test that runs the commands of the README.
package readme
