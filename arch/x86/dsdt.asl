/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board as ACPI devices: PCI root, serial port, power button, panic notifier. Addresses come from layout.h. What
 * depends on the configuration is a Name below, filled in by acpi.c when the tables are built.
 */
#include "layout.h"

DefinitionBlock ("", "DSDT", 2, "PINVM ", "PINVM   ", 1)
{
	/* acpi.c finds each by its name; the values only make sure of 64 bits to write into. */
	Name (M32B, 0x5555555500000001) // PCI memory window below 4 GiB: base
	Name (M32S, 0x5555555500000002) // and size in bytes
	Name (M64B, 0x5555555500000003) // PCI memory window above RAM: base
	Name (M64S, 0x5555555500000004) // and size, 0: none
	Name (UART, 0x5555555500000005) // is there a serial port?

	Name (\_S5, Package () {5, 0, 0, 0})

	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_SEG, 0)
			Name (_BBN, 0)

			/* No I/O window: no device here has I/O BARs. No _PRT: all interrupts are MSIs. */
			Name (RLOW, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
				IO (Decode16, PIO_PCI, PIO_PCI, 1, 8)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
					0, 0, 0, 0, 1, , , M32)
			})
			Name (RHI, ResourceTemplate ()
			{
				QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
					0, 0, 0, 0, 1, , , M64)
			})

			Method (_CRS, 0, Serialized)
			{
				CreateDWordField (RLOW, ^M32._MIN, MIN3)
				CreateDWordField (RLOW, ^M32._MAX, MAX3)
				CreateDWordField (RLOW, ^M32._LEN, LEN3)
				MIN3 = M32B
				MAX3 = M32B + M32S - 1
				LEN3 = M32S
				If (M64S == 0)
				{
					Return (RLOW)
				}
				CreateQWordField (RHI, ^M64._MIN, MIN6)
				CreateQWordField (RHI, ^M64._MAX, MAX6)
				CreateQWordField (RHI, ^M64._LEN, LEN6)
				MIN6 = M64B
				MAX6 = M64B + M64S - 1
				LEN6 = M64S
				Return (ConcatenateResTemplate (RLOW, RHI))
			}

			/* No firmware runs here, so the guest may control all it asks for: the request comes back unchanged. */
			Method (_OSC, 4)
			{
				CreateDWordField (Arg3, 0, CDW1)
				If (Arg0 != ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766"))
				{
					CDW1 |= 0x4 // unknown UUID
				}
				ElseIf (Arg1 != 1)
				{
					CDW1 |= 0x8 // unknown revision
				}
				Return (Arg3)
			}
		}

		/* What no driver owns. Linux uses ECAM only when it finds it here. */
		Device (BRD0)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, PCI_ECAM_BASE, PCI_ECAM_SIZE)
				IO (Decode16, PIO_SLEEP_CTL, PIO_SLEEP_CTL, 1, 0xc)
			})
		}

		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, PIO_SERIAL, PIO_SERIAL, 1, 8)
				Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) {PIN_SERIAL}
			})
			Method (_STA)
			{
				If (UART)
				{
					Return (0xf)
				}
				Return (0)
			}
		}

		Device (PWRB)
		{
			Name (_HID, EisaId ("PNP0C0C"))
			Name (_UID, 0)
		}

		Device (GED0)
		{
			Name (_HID, "ACPI0013")
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) {PIN_GED}
			})
			OperationRegion (REGS, SystemIO, PIO_GED, 4)
			Field (REGS, DWordAcc, NoLock, WriteAsZeros)
			{
				EVTS, 32 // reading clears it
			}
			Method (_EVT, 1, Serialized)
			{
				Local0 = EVTS
				If (Local0 & 1)
				{
					Notify (PWRB, 0x80)
				}
			}
		}

		Device (PVPN)
		{
			Name (_HID, "QEMU0001")
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, PIO_PVPANIC, PIO_PVPANIC, 1, 1)
			})
		}

		/* Devices behind virtio-mmio (LNRO0005, in MMIO_PLATFORM) have their nodes here. */
	}
}
