// Package version answers one question: which build is this?
package version

// Version is set when the program is linked; a build without make is a
// "development" one.
var Version = "development"
