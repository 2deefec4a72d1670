#!/bin/busybox sh
# First program of the machine: loads the few drivers that the root disk needs, waits for it, mounts it, hands over.
# @PARTUUID@ and @PARTNAME@ are filled in when the disk is written.
b=/bin/busybox
$b mount -t devtmpfs devtmpfs /dev
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys

while read -r module; do
    $b insmod "/modules/$module" || echo "ingot: the kernel module $module did not load" >/dev/kmsg
done </modules/order

# Kernels from 6.9 on export PARTUUID, all export PARTNAME; either names our partition alone.
find_root() {
    for event in /sys/class/block/*/uevent; do
        device= match=
        while IFS='=' read -r key value; do
            case "$key=$value" in
                DEVNAME=*) device=$value ;;
                PARTUUID=@PARTUUID@ | PARTNAME=@PARTNAME@) match=yes ;;
            esac
        done <"$event"
        [ -n "$match" ] && [ -b "/dev/$device" ] && { root=/dev/$device; return 0; }
    done
    return 1
}

# Whole seconds since power-on; in the shell itself, for starting a program takes long on an emulated processor.
uptime() {
    read -r now _ </proc/uptime
    now=${now%%.*}
}

root=
uptime
deadline=$((now + 60))
until find_root; do
    uptime
    if [ "$now" -ge "$deadline" ]; then
        echo "ingot: no partition @PARTUUID@ (@PARTNAME@) appeared in 60 s; these block devices are there:" >/dev/kmsg
        while read -r line; do echo "ingot: $line" >/dev/kmsg; done </proc/partitions
        exit 1 # the kernel panics and says so on the console
    fi
    $b sleep 0.05
done

mode=ro
for word in $($b cat /proc/cmdline); do
    [ "$word" = rw ] && mode=rw
done
if ! $b mount -t ext4 -o "$mode" "$root" /root; then
    echo "ingot: the root file system on $root cannot be mounted" >/dev/kmsg
    exit 1
fi
for directory in dev proc sys; do
    $b mount -o move "/$directory" "/root/$directory"
done
exec $b switch_root /root /sbin/init
