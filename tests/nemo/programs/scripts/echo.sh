#!/bin/bash
echo "from a file: $1"
